// The tests of ../kills.test.ts over @platformatic/kafka.
import { useLibrary } from '../library.ts'

useLibrary('platformatic')
await import('../kills.test.ts')
