export { adapterBench, type AdapterBench, call, clock, ids, numbered, until } from './bench.ts'
export { type ConformanceOptions, memoryHarness, runConformance } from './conformance.ts'
export { channelSpec, drive, type Driver, type DriverOptions, type Member, outgoing, wireMessage } from './driver.ts'
export {
  type Fault,
  type Faults,
  type Foreign,
  type Harness,
  loadHarness,
  type OpenOptions,
  type Timing,
} from './harness.ts'
export { type CaseResult, runCases, type RunOptions } from './run.ts'
export type { Mode } from './env.ts'
export { type Door, type FaultProxy, faultProxy, type FaultProxyOptions } from './proxy.ts'
export { type ConnectionFaults, connectionFaults, namespaceProxies, type NamespaceProxies } from './proxy-faults.ts'
export { type Handled, type TestBus, testBus, type TestBusOptions } from './test-bus.ts'
export { type VirtualClock, virtualClock } from './virtual-clock.ts'
