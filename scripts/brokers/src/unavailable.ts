/** A broker that cannot be had here: the message says what is missing and how to get it. */
export class BrokerUnavailable extends Error {
  readonly broker: string

  constructor(broker: string, text: string, options?: ErrorOptions) {
    super(`${broker}: ${text}`, options)
    this.name = 'BrokerUnavailable'
    this.broker = broker
  }
}
