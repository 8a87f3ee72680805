// The tests of ../tls.test.ts over @platformatic/kafka.
import { useLibrary } from '../library.ts'

useLibrary('platformatic')
await import('../tls.test.ts')
