// kafkajs alone, as other programs use it.
import type { Admin, ITopicConfig } from 'kafkajs'
import { until } from './support.ts'

/** kafkajs does not wait until the broker that it asks knows the topic: its own wait for leaders fails then. */
export async function makeTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  await admin.createTopics({ topics, waitForLeaders: false })
  const names = topics.map(({ topic }) => topic)
  const ready = async (): Promise<boolean> => {
    const known = new Set(await admin.listTopics())
    if (!names.every((name) => known.has(name))) return false
    const { topics: found } = await admin.fetchTopicMetadata({ topics: names })
    return found.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0))
  }
  await until(ready, `leaders of ${names.join()}`)
}
