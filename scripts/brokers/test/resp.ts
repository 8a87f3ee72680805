// As much of Redis's protocol as these tests need.
import { connect } from 'node:net'

/** One inline command, and its answer in one line. */
export function ask(port: number, command: string, limitMs = 2000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port })
    const timer = setTimeout(() => socket.destroy(new Error(`No answer to ${command} within ${limitMs} ms`)), limitMs)
    socket.on('connect', () => socket.write(`${command}\r\n`))
    socket.on('data', (bytes) => {
      resolve(String(bytes).trim().split('\r\n').join(' '))
      socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => {
      clearTimeout(timer)
      reject(new Error(`Closed without an answer to ${command}`))
    })
  })
}
