// The tests of ../codecs.test.ts over @platformatic/kafka.
import { useLibrary } from '../library.ts'

useLibrary('platformatic')
await import('../codecs.test.ts')
