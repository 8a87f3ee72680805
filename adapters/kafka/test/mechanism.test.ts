// A login that only kafkajs has: of the others each is offered by the broker of the tests.
import { describeBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { call, client } from './client-support.ts'

await describeBroker('kafka', (broker) => {
  test('kafka: a mechanism that the broker does not offer is refused', async () => {
    const { host, ports } = broker()
    const sasl = { mechanism: 'aws', authorizationIdentity: 'a', accessKeyId: 'b', secretAccessKey: 's3cret' } as const
    const made = client({ host, port: ports['sasl'] ?? 0 }, { client: { sasl } })
    await expect(made.connect(call)).rejects.toMatchObject({
      code: 'AUTHENTICATION_FAILED',
      retryable: false,
      message: expect.stringMatching(/mechanism/) as string,
    })
  })
})
