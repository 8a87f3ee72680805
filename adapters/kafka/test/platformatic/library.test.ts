// The package is loaded where it is asked for, and not before.
import { describeBroker } from '@polybus/brokers'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type KafkaAdapter, kafka } from '../../src/index.ts'
import { call } from '../support.ts'

await describeBroker('kafka', (broker) => {
  const open = (client: 'kafkajs' | 'platformatic'): KafkaAdapter => {
    const adapter = kafka({ url: broker().url, client })
    onTestFinished(() => adapter.close())
    return adapter
  }
  const connectBy = (adapter: KafkaAdapter): Promise<void> =>
    adapter.connect({ ...call, service: 'test', namespace: 'test', topology: 'none' })

  test('kafka: where @platformatic/kafka is not installed only who asks for it hears of it, with what to install', async () => {
    vi.doMock('@platformatic/kafka', () => {
      throw new Error("Cannot find package '@platformatic/kafka'")
    })
    onTestFinished(() => vi.doUnmock('@platformatic/kafka'))
    await connectBy(open('kafkajs'))
    await expect(connectBy(open('platformatic'))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      retryable: false,
      message: expect.stringContaining('npm install @platformatic/kafka') as string,
    })
  })

  test('kafka: over @platformatic/kafka there is no kafkajs to be had', async () => {
    const [ours, other] = [open('kafkajs'), open('platformatic')]
    await Promise.all([connectBy(ours), connectBy(other)])
    expect(ours.client).toBeDefined()
    expect(other.client).toBeUndefined()
  })
})
