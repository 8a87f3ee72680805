import { PrismaPg } from '@prisma/adapter-pg'
import { prismaStore } from '../src/index.ts'
import { type Prisma, PrismaClient } from './fixtures/prisma/client.ts'
import { postgresHarness } from './postgres.ts'

const { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup } = postgresHarness(
  'prisma',
  'transactional',
  (connectionString) => {
    const client = new PrismaClient({ adapter: new PrismaPg({ connectionString }) })
    return {
      store: (options) => prismaStore(client, options),
      write: async (tx, table, text) =>
        void (await (tx as Prisma.TransactionClient).$executeRawUnsafe(
          `insert into ${table} (effect) values ($1)`,
          text,
        )),
      say: async (tx, statement) => void (await (tx as Prisma.TransactionClient).$executeRawUnsafe(statement)),
      close: () => client.$disconnect(),
    }
  },
)
export { name, kind, parks, prepare, open, effects, rows, fill, server, cleanup }
