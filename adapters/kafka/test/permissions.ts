// The rights that a user needs; docs/brokers/kafka.md names the same, and permissions.test.ts runs with just these.
import kafkajs, { type AclEntry } from 'kafkajs'

const { AclOperationTypes: Operation, AclPermissionTypes, AclResourceTypes: Resource, ResourcePatternTypes } = kafkajs

/** To publish, consume, retry, look at dead letters and take them off. */
export const NEEDED = {
  topics: [Operation.READ, Operation.WRITE, Operation.DESCRIBE],
  groups: [Operation.READ],
} as const
/** `topology: 'create'`. */
export const TO_CREATE = [Operation.CREATE] as const
/** Settings are compared and hazards seen; what was taken off is deleted. */
export const WISHED = {
  topics: [Operation.DESCRIBE_CONFIGS, Operation.DELETE],
  cluster: [Operation.DESCRIBE_CONFIGS],
} as const

export function acls(user: string, prefix: string, rights: 'needed' | 'create' | 'all'): AclEntry[] {
  const entry = (type: number, name: string, pattern: number, operation: number): AclEntry => ({
    principal: `User:${user}`,
    host: '*',
    permissionType: AclPermissionTypes.ALLOW,
    operation,
    resourceType: type,
    resourceName: name,
    resourcePatternType: pattern,
  })
  const topics: readonly number[] = [
    ...NEEDED.topics,
    ...(rights === 'needed' ? [] : TO_CREATE),
    ...(rights === 'all' ? WISHED.topics : []),
  ]
  return [
    ...topics.map((operation) => entry(Resource.TOPIC, prefix, ResourcePatternTypes.PREFIXED, operation)),
    ...NEEDED.groups.map((operation) => entry(Resource.GROUP, prefix, ResourcePatternTypes.PREFIXED, operation)),
    ...(rights === 'all' ? WISHED.cluster : []).map((operation) =>
      entry(Resource.CLUSTER, 'kafka-cluster', ResourcePatternTypes.LITERAL, operation),
    ),
  ]
}
