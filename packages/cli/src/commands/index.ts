// All commands: one file each, and this table.
import type { Command } from '../command.ts'
import { dlqDiscard } from './dlq-discard.ts'
import { dlqEdit } from './dlq-edit.ts'
import { dlqExport } from './dlq-export.ts'
import { dlqImport } from './dlq-import.ts'
import { dlqLs } from './dlq-ls.ts'
import { dlqReplay } from './dlq-replay.ts'
import { dlqShow } from './dlq-show.ts'
import { doctor } from './doctor.ts'
import { lag } from './lag.ts'
import { parkedDiscard, parkedLs, parkedReplay } from './parked.ts'
import { publish } from './publish.ts'
import { schemaCheck } from './schema-check.ts'
import { schemaDiff } from './schema-diff.ts'
import { schemaLs } from './schema-ls.ts'
import { schemaRegister } from './schema-register.ts'
import { schemaTypes } from './schema-types.ts'
import { tail } from './tail.ts'
import { topologyApply, topologyPlan } from './topology.ts'

export const COMMANDS: readonly Command[] = [
  dlqLs,
  dlqShow,
  dlqReplay,
  dlqEdit,
  dlqDiscard,
  dlqExport,
  dlqImport,
  parkedLs,
  parkedReplay,
  parkedDiscard,
  doctor,
  topologyPlan,
  topologyApply,
  lag,
  publish,
  tail,
  schemaLs,
  schemaCheck,
  schemaDiff,
  schemaRegister,
  schemaTypes,
]
