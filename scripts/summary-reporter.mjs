// Closes a test run with one plain line, `N passed, N failed`, that people and CI read alike.

/** @type {import('vitest/node').Reporter} */
export default {
  onTestRunEnd(modules, unhandledErrors, reason) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    /** @type {Map<string, number>} */
    const reasons = new Map()
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state, note = 'no reason given' } =
          /** @type {{ state: 'passed' | 'failed' | 'skipped' | 'pending', note?: string }} */ (test.result())
        if (state === 'skipped') reasons.set(note, (reasons.get(note) ?? 0) + 1)
        // A test that an aborted run never got to is no success.
        count[state === 'pending' ? 'failed' : state]++
      }
      // A file or suite that fails outside its tests (an import, a hook) has no failed test to count.
      count.failed += module.errors().length
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length
    }
    // A run that did not even begin, because its set-up failed, has no test to count.
    if (reason === 'failed' && count.failed === 0) count.failed = 1
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
    // At exit, so that nothing prints after it.
    process.once('exit', () => {
      for (const [reason, times] of reasons) console.log(`${times} left out: ${reason}`)
      console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`)
    })
  },
}
