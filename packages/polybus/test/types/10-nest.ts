import type { OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown } from '@nestjs/common'
import { connect, consumer, type Bus } from 'polybus'
import { orders } from './02-typed.ts'
class Mailer {
  send(_id: string): Promise<void> {
    return Promise.resolve()
  }
}
export const busProvider = { provide: 'BUS', useFactory: (): Promise<Bus> => connect({ service: 'shop' }) }
export class EmailConsumer implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly bus: Bus
  private readonly mailer: Mailer
  constructor(bus: Bus, mailer: Mailer) {
    this.bus = bus
    this.mailer = mailer
  }
  async onModuleInit(): Promise<void> {
    await this.bus.start(consumer(orders, 'email', (order) => this.mailer.send(order.id)))
  }
  beforeApplicationShutdown(): Promise<void> {
    return this.bus.stop()
  }
  onApplicationShutdown(): Promise<void> {
    return this.bus.close()
  }
}
