// The tests of ../permissions.test.ts over @platformatic/kafka.
import { useLibrary } from '../library.ts'

useLibrary('platformatic')
await import('../permissions.test.ts')
