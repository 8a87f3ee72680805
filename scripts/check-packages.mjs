// Packs every publishable package as npm would publish it, then lets publint and attw (Are the types wrong?) judge it.
import { execFileSync, spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const packages = globSync('{packages,adapters}/*/package.json')
  .map((file) => ({ dir: dirname(file), manifest: JSON.parse(readFileSync(file, 'utf8')) }))
  .filter(({ manifest }) => !manifest.private)

const out = mkdtempSync(join(tmpdir(), 'polybus-packages-'))
let failed = 0

/** @param {string} name @param {string[]} args */
function check(name, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`node_modules/${name}`, ...args], {
    encoding: 'utf8',
  })
  if (status === 0) return
  failed++
  console.error(stdout + stderr)
}

try {
  for (const { dir, manifest } of packages) {
    const packed = JSON.parse(
      execFileSync('npm', ['pack', `./${dir}`, '--json', '--pack-destination', out], { encoding: 'utf8' }),
    )
    // A list up to npm 11, an object by package name from npm 12.
    const [{ filename, entryCount }] = Object.values(packed)
    console.log(`${manifest.name}: ${entryCount} files, publint, attw`)
    const tarball = join(out, filename)
    check('publint/src/cli.js', ['--strict', tarball])
    check('@arethetypeswrong/cli/dist/index.js', ['--profile', 'esm-only', tarball])
  }
} finally {
  rmSync(out, { recursive: true })
}

console.log(failed === 0 ? `${packages.length} packages fit to publish` : `${failed} checks failed`)
process.exitCode = failed === 0 ? 0 : 1
