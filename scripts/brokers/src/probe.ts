import { connect } from 'node:net'

/** Whether who listens there answers as its protocol wants it. Never rejects. */
export type Probe = (port: number, limitMs: number) => Promise<boolean>

/** Sends the words, and asks whether what is heard, read as latin1, is the answer. */
export function greeting(words: string, isAnswer: (heard: string) => boolean): Probe {
  return (port, limitMs) =>
    new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port })
      let heard = ''
      const done = (answered: boolean): void => {
        clearTimeout(timer)
        socket.destroy()
        resolve(answered)
      }
      const timer = setTimeout(() => done(false), limitMs)
      socket.on('connect', () => socket.write(words, 'latin1'))
      socket.on('data', (bytes) => {
        heard += bytes.toString('latin1')
        if (isAnswer(heard)) done(true)
        else if (heard.length > 1024) done(false)
      })
      socket.on('error', () => done(false))
      socket.on('close', () => done(false))
    })
}
