// Holds the lock of a database of SQLite: `node locker.js FILE MS`. Says when it has it.
import { setTimeout as sleep } from 'node:timers/promises'
import { openFile } from './ledger.ts'

const [, , file = '', ms = '0'] = process.argv
const db = openFile(file)
db.exec('begin immediate')
console.log('locked')
await sleep(Number(ms))
db.exec('rollback')
db.close()
