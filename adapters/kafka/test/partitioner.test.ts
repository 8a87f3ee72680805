// Golden vectors, from Kafka's own Java client. How they were made:
//
//   java -cp kafka-clients-4.1.0.jar:slf4j-api.jar Vectors.java <hex> <hex> …
//
//   class Vectors {
//     public static void main(String[] args) {
//       for (String hex : args) {
//         byte[] key = java.util.HexFormat.of().parseHex(hex);
//         System.out.println(hex + " " + org.apache.kafka.common.utils.Utils.murmur2(key)
//           + " " + org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey(key, 8)
//           + " " + org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey(key, 12));
//       }
//     }
//   }
import { expect, test } from 'vitest'
import { murmur2, partitionOf, roundRobin } from '../src/partitioner.ts'

/** The key's bytes, its hash, its partition of 8, its partition of 12. */
const vectors: readonly [hex: string, hash: number, of8: number, of12: number][] = [
  ['', 275646681, 1, 9],
  ['61', -1563381124, 4, 4],
  ['6162', 316155434, 2, 2],
  ['616263', 479470107, 3, 3],
  ['61626364', -1323649548, 4, 8],
  ['6162636465', 461995741, 5, 1],
  ['616263646566', 1870650108, 4, 0],
  ['61626364656667', -346467175, 1, 1],
  ['6162636465666768', -955427363, 5, 9],
  ['3231', -973932308, 4, 0],
  ['632d3432', 1839191556, 4, 0],
  ['637573746f6d65722d31303030', 1747198871, 7, 11],
  ['5ac3bc72696368', -1551140815, 1, 1],
  ['e697a5e69cac', -700811021, 3, 3],
  ['f09f9a8c', 757840972, 4, 4],
  ['ff', -311467685, 3, 3],
  ['ffff', -1642832928, 0, 8],
  ['ffffff', 1548199422, 6, 6],
  ['ffffffff', 644171429, 5, 5],
  ['ffffffffff', -363838622, 2, 6],
  ['ffffffffffffff', -71293549, 3, 7],
  ['80007f', 2046301964, 4, 8],
  ['00000000', 850957120, 0, 4],
  [
    '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff',
    -1948347274,
    6,
    10,
  ],
  ['4dca182530bb1d6d132cded6237b2ed91e3f721fcb', -301821639, 1, 5],
  ['71174494', 955177607, 7, 11],
  ['493c9d5c3460be31201e69fedaa0eee8b9997f5c7c2999fdafe593', -1787034931, 5, 1],
  ['253cd654af4dfad71427a0aeb3fee9232f8af2211f9ee491c5b10becb5563bfc1e6f93427ecbc8', 387062541, 5, 9],
  ['2955e5cd8e46dc8ed4b7c2764d2a5a4d767706f85d8690024ad6bda3401be9c8', 1966365458, 2, 2],
  ['ccc935f6cd1f61226ae15338ae1a34004d33ba0d246ac04c81b1', 446329344, 0, 0],
  ['baf23e3bf9eef5f79f2b4934af87f5520b69b94b0d982e85bb55b672a872637acd7466fcb60e0e', -2011010298, 6, 2],
  ['f18463b0e4b2ba29703474f064ac68f700f5', -1907995482, 6, 2],
  ['2b3dc666f45bdeaa2ccaedcd2b5157410e4dee4af2b34f', 84841633, 1, 1],
  ['430a073447de636c0e806c957ba684d6431fb5ead7424d09e15d024c5848f23d1fa6f736', -2144895235, 5, 1],
  ['1d7f618d1532e70e20e2a6668de7f47e8467e546d53ec8e2a1257bdb256c9b3e4fbb4981', 1091595202, 2, 10],
  ['ef7030cbf9537252dc', 1023688163, 3, 11],
]

test.each(vectors)('kafka: the key %s is where Java puts it', (hex, hash, of8, of12) => {
  const key = Buffer.from(hex, 'hex')
  expect(murmur2(key)).toBe(hash)
  expect([partitionOf(key, 8), partitionOf(key, 12), partitionOf(key, 1)]).toEqual([of8, of12, 0])
})

test('kafka: bytes that are no Buffer have the same partition', () => {
  const padded = Uint8Array.from([9, 9, ...Buffer.from('customer-1000')]).subarray(2)
  expect(murmur2(padded)).toBe(murmur2(Buffer.from('customer-1000')))
})

test('kafka: records without a key are shared evenly, for each topic by itself', () => {
  const next = roundRobin()
  const counts = [0, 0, 0]
  for (let n = 0; n < 9; n++) {
    const partition = next('orders', 3)
    counts[partition] = (counts[partition] ?? 0) + 1
    next('others', 5)
  }
  expect(counts).toEqual([3, 3, 3])
  // Fewer partitions than there were (another topic of that name).
  expect(Array.from({ length: 4 }, () => next('others', 2)).every((partition) => partition < 2)).toBe(true)
})
