export { sqs, type SqsAdapter } from './adapter.ts'
export { lambda, type LambdaHandler, type LambdaOptions, type SqsBatchResponse } from './lambda.ts'
export type { SqsChannelOptions, SqsEnvelope, SqsForeignMessage, SqsGroup, SqsHazard, SqsOptions } from './options.ts'
