import { expect, test } from 'vitest'
import { bufferOf, dataOf, frame, idOf } from '../src/frame.ts'
import { readIndexes, writeIndexes } from '../src/protobuf/message-indexes.ts'

test('a frame is a zero byte, the id in four bytes, and the data', () => {
  expect(frame(0x01020304, Buffer.from('ab'), Buffer.from('c')).toString('hex')).toBe('0001020304616263')
  const read = bufferOf(new Uint8Array([0, 255, 255, 255, 255, 7]))
  expect([idOf(read), [...dataOf(read)]]).toEqual([4_294_967_295, [7]])
  expect([idOf(frame(1)), dataOf(frame(1)).length]).toEqual([1, 0])
})
test('what is no frame is named', () => {
  const refused = (bytes: number[], text: string): void => {
    expect(() => idOf(Buffer.from(bytes))).toThrow(
      expect.objectContaining({ code: 'DECODE_FAILED', message: expect.stringContaining(text) }),
    )
  }
  refused([], 'empty')
  refused([123, 34], 'byte 123')
  refused([0, 0, 0, 1], 'after 4 bytes')
})
test('message indexes are zigzag varints; the first message of the file is a single zero', () => {
  const table: [number[], string][] = [
    [[0], '00'],
    [[1], '0202'],
    [[0, 0], '040000'],
    [[2, 1], '040402'],
    [[64], '028001'],
    [[1, 300, 0], '0602d80400'],
  ]
  for (const [path, hex] of table) {
    expect(writeIndexes(path).toString('hex')).toBe(hex)
    const read = readIndexes(Buffer.from(`${hex}ff`, 'hex'))
    expect([read.path, [...read.data]]).toEqual([path, [255]])
  }
  // The long form of the first message is read as well.
  expect(readIndexes(Buffer.from('0200', 'hex')).path).toEqual([0])
})
test('indexes that end too soon, or go too deep, are refused', () => {
  for (const hex of ['', '02', '0480', 'ffffffffffffff', '01', 'ff01', '8002'])
    expect(() => readIndexes(Buffer.from(hex, 'hex')), hex).toThrow(expect.objectContaining({ code: 'DECODE_FAILED' }))
})
