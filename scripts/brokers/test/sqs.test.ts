// A real ElasticMQ: what tests of the adapter rely on.
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { describeBroker, startBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { placeOf } from '../src/cache.ts'
import { scoped } from '../src/current-run.ts'

const SLOW = { timeout: 60_000 }

/** As much of SQS's protocol as these tests need; ElasticMQ looks at no signature. */
function ask(
  port: number,
  action: string,
  body: object,
  { host = `127.0.0.1:${port}`, limitMs = 5000 }: { host?: string; limitMs?: number } = {},
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = {
      host,
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
    }
    const call = request({ host: '127.0.0.1', port, method: 'POST', path: '/', headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text === '' ? {} : (JSON.parse(text) as Record<string, unknown>))
        else reject(new Error(`${response.statusCode}: ${text}`))
      })
    })
    call.setTimeout(limitMs, () => call.destroy(new Error(`No answer to ${action} within ${limitMs} ms`)))
    call.on('error', reject)
    call.end(JSON.stringify(body))
  })
}

// Its own: others must not lose theirs in the middle.
const INSTANCE = 'brokers'

await describeBroker(
  'sqs',
  (sqs) => {
    test('sqs: killed and started again it has its port, and none of its queues: it says so', SLOW, async () => {
      const broker = sqs()
      const { port, pid } = broker
      expect(broker.url).toBe(`sqs://127.0.0.1:${port}`)
      expect(broker.keepsData).toBe(false)
      await ask(port, 'CreateQueue', { QueueName: 'lost' })
      await broker.kill()
      await expect(ask(port, 'ListQueues', {})).rejects.toThrow('ECONNREFUSED')
      await broker.start()
      expect(broker.port).toBe(port)
      expect(broker.pid).not.toBe(pid)
      await expect(ask(port, 'GetQueueUrl', { QueueName: 'lost' })).rejects.toThrow('QueueDoesNotExist')
      await broker.stop()
      await broker.start()
      expect(broker.port).toBe(port)
    })

    test('sqs: paused it neither answers nor closes, and goes on where it was', SLOW, async () => {
      const { port } = sqs()
      await ask(port, 'CreateQueue', { QueueName: 'paused' })
      sqs().pause()
      try {
        await expect(ask(port, 'ListQueues', {}, { limitMs: 300 })).rejects.toThrow('No answer')
      } finally {
        sqs().resume()
      }
      expect(await ask(port, 'GetQueueUrl', { QueueName: 'paused' })).toHaveProperty('QueueUrl')
    })

    test('sqs: it refuses what AWS refuses', SLOW, async () => {
      const { port } = sqs()
      const { QueueUrl } = await ask(port, 'CreateQueue', { QueueName: 'strict' })
      await ask(port, 'SendMessage', { QueueUrl, MessageBody: 'x'.repeat(262_144) })
      await expect(ask(port, 'SendMessage', { QueueUrl, MessageBody: 'x'.repeat(262_145) })).rejects.toThrow(
        'MessageTooLong',
      )
      await expect(ask(port, 'CreateQueue', { QueueName: 'x'.repeat(81) })).rejects.toThrow('longer than 80')
      await expect(ask(port, 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 11 })).rejects.toThrow(
        'MaxNumberOfMessages is invalid',
      )
    })

    test('sqs: the URL of a queue leads back the way on which it was asked for', SLOW, async () => {
      const { port } = sqs()
      await ask(port, 'CreateQueue', { QueueName: 'here' })
      const { QueueUrl } = await ask(port, 'GetQueueUrl', { QueueName: 'here' }, { host: '127.0.0.1:4711' })
      expect(QueueUrl).toBe('http://127.0.0.1:4711/000000000000/here')
    })

    test('sqs: two at once meet neither in port nor in data, and a removed one leaves nothing', SLOW, async () => {
      const other = await startBroker('sqs', { instance: 'other' })
      expect(other.port).not.toBe(sqs().port)
      await ask(sqs().port, 'CreateQueue', { QueueName: 'mine' })
      await expect(ask(other.port, 'GetQueueUrl', { QueueName: 'mine' })).rejects.toThrow('QueueDoesNotExist')
      const { folder } = placeOf('sqs', scoped('other'))
      await other.remove()
      expect(existsSync(folder)).toBe(false)
      await expect(ask(other.port, 'ListQueues', {})).rejects.toThrow('ECONNREFUSED')
    })
  },
  { instance: INSTANCE },
)
