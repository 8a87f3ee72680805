import type { Message } from '@aws-sdk/client-sqs'
import type { Token } from './held.ts'

/** A token of what no feed with leases of its own holds. */
export function tokenOf(
  native: Message,
  more: Pick<Token, 'order' | 'takenAt' | 'endsAt'> & { readonly lane?: string },
): Token {
  return {
    native,
    handle: native.ReceiptHandle ?? '',
    position: native.MessageId ?? '',
    lane: '',
    bytes: 0,
    live: true,
    copied: false,
    dueAt: 0,
    duePrevious: undefined,
    dueNext: undefined,
    dueListed: false,
    ...more,
  }
}
