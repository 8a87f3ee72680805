// The tests of ../transactions.test.ts over @platformatic/kafka.
import { useLibrary } from '../library.ts'

useLibrary('platformatic')
await import('../transactions.test.ts')
