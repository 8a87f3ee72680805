// Makes a fresh clone ready: installs what the lockfile names, then builds. Runs on Node 20 with nothing installed.
// Every `npm start`, `npm test` and the like runs it first, so a second run must cost next to nothing.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const modified = (/** @type {string} */ file) => (existsSync(file) ? statSync(file).mtimeMs : 0)

// npm writes the hidden lockfile last, so an interrupted install counts as none.
if (modified('node_modules/.package-lock.json') < modified('package-lock.json')) {
  // Under npm this is the npm and the Node that the user started: the Node in node_modules is about to be replaced.
  const { npm_execpath: npm, npm_node_execpath: node = process.execPath } = process.env
  const ci = ['ci', '--include=dev', '--loglevel=error']
  step(
    'installing packages (npm ci)',
    'See the lines above. npm needs its registry, or a filled cache, to install.',
    () =>
      npm
        ? spawnSync(node, [npm, ...ci], { stdio: 'inherit' })
        : spawnSync('npm', ci, { stdio: 'inherit', shell: true }),
  )
}

if (!existsSync('node_modules/node/bin/node') && !existsSync('node_modules/node/bin/node.exe')) {
  fail(
    'the package `node` is there without its binary',
    'Its install script did not run: `npm rebuild node --foreground-scripts` shows why.',
  )
}

step('building (tsc -b)', 'The errors above are in the sources. `npm run clean` starts from nothing.', () =>
  spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'tsconfig.build.json'], { stdio: 'inherit' }),
)

/**
 * @param {string} what
 * @param {string} hint
 * @param {() => import('node:child_process').SpawnSyncReturns<Buffer>} run
 */
function step(what, hint, run) {
  console.log(`setup: ${what}`)
  const start = performance.now()
  const { status, error } = run()
  if (status !== 0) fail(`${what} failed${error ? `: ${error.message}` : ''}`, hint)
  console.log(`setup: done in ${((performance.now() - start) / 1000).toFixed(1)} s`)
}

/**
 * @param {string} what
 * @param {string} hint
 * @returns {never}
 */
function fail(what, hint) {
  console.error(`setup: ${what}. ${hint}`)
  process.exit(1)
}
