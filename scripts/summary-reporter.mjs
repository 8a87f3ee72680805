// Closes a test run with what failed and one plain line, `N passed, N failed`, that people and CI read alike: of a log that was cut
// its end is what remains.

/** Characters of a failure's message, and how many are named. */
const MESSAGE = 600
const FAILURES = 20

/** @type {import('vitest/node').Reporter} */
export default {
  onTestRunEnd(modules, unhandledErrors, reason) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    /** @type {Map<string, number>} */
    const reasons = new Map()
    /** @type {string[]} */
    const failures = unhandledErrors.map(({ message }) => `outside of tests: ${message}`)
    /** @param {string} where @param {readonly { message: string }[]} errors */
    const failed = (where, errors) => {
      failures.push(`${where}: ${errors.map(({ message }) => message.slice(0, MESSAGE)).join('; ')}`)
    }
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state, note = 'no reason given' } =
          /** @type {{ state: 'passed' | 'failed' | 'skipped' | 'pending', note?: string }} */ (test.result())
        if (state === 'skipped') reasons.set(note, (reasons.get(note) ?? 0) + 1)
        // A test that an aborted run never got to is no success.
        count[state === 'pending' ? 'failed' : state]++
        if (state === 'failed') failed(`${module.relativeModuleId}, ${test.fullName}`, test.result().errors ?? [])
        if (state === 'pending') failed(`${module.relativeModuleId}, ${test.fullName}`, [{ message: 'it did not end' }])
      }
      // A file or suite that fails outside its tests (an import, a hook) has no failed test to count.
      for (const group of [module, ...module.children.allSuites()]) {
        const errors = group.errors()
        count.failed += errors.length
        if (errors.length > 0) failed(module.relativeModuleId, errors)
      }
    }
    // A run that did not even begin, because its set-up failed, has no test to count.
    if (reason === 'failed' && count.failed === 0) count.failed = 1
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
    // At exit, so that nothing prints after it.
    process.once('exit', () => {
      for (const [reason, times] of reasons) console.log(`${times} left out: ${reason}`)
      for (const failure of failures.slice(0, FAILURES)) console.log(`failed: ${failure}`)
      console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`)
    })
  },
}
