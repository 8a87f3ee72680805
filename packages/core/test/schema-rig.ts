// Small Standard Schemas for tests.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Schema } from '../src/channel.ts'

type Check = (value: any) => StandardSchemaV1.Result<any> | Promise<StandardSchemaV1.Result<any>>
export const schema = <I = any, O = I>(validate: Check): Schema<I, O> => ({
  '~standard': { version: 1, vendor: 'test', validate },
})
export const refuse = (message: string, path?: (string | number)[]): StandardSchemaV1.FailureResult => ({
  issues: [path ? { message, path } : { message }],
})
