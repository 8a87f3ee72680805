// JSON Schema, by ajv: plain JSON behind the frame's header, validated by the reader's own schema, or else by the writer's.
import { json, PolybusError } from '@polybus/core'
import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { dataOf, frame } from '../frame.ts'
import { compiling, type Format } from '../format.ts'
import { differences } from './differences.ts'
import { refuseUnfaithful } from './faithful.ts'
import { jsonShape } from './shape.ts'
import type { Schema } from '../schema.ts'

export function jsonSchemaFormat(): Format {
  const compile = ({ schema, needs }: Schema): ValidateFunction => {
    return compiling('JSON', () => {
      const parsed = JSON.parse(schema) as { readonly $schema?: string } | boolean
      const ajv = ajvFor(typeof parsed === 'object' ? parsed.$schema : undefined)
      for (const { name, schema: text } of needs) ajv.addSchema(JSON.parse(text) as object, name)
      const valid = ajv.compile(parsed)
      if ('$async' in valid) throw new Error("it is '$async', and nobody waits for it")
      return valid
    })
  }
  return {
    type: 'JSON',
    contentType: 'application/vnd.schemaregistry.json',
    nameOf: ({ schema }) => (JSON.parse(schema) as { title?: string }).title,
    writer(id, schema) {
      const valid = compile(schema)
      return (value) => {
        refuseUnfaithful(value)
        if (!valid(value)) throw new PolybusError('UNSERIALISABLE', `schema ${id} refuses it: ${issuesOf(valid)}`)
        return frame(id, json.encode(value))
      }
    },
    reader({ id, schema }, own) {
      const valid = compile(own ? own.schema : schema)
      const names = own ? `${own.name} refuses what was written with schema ${id}` : `schema ${id} refuses it`
      return (bytes) => {
        const value = json.decode(dataOf(bytes))
        if (!valid(value)) throw new PolybusError('DECODE_FAILED', `${names}: ${issuesOf(valid)}`)
        return value
      }
    },
    differences: (reader, writer) => differences(jsonShape(reader), jsonShape(writer)),
    shape: jsonShape,
    check: (schema) => void compile(schema),
  }
}

function ajvFor(draft = ''): Ajv {
  const options = { strict: false, validateFormats: false, allErrors: true, logger: false } as const
  if (draft.includes('2020-12')) return new Ajv2020(options)
  if (draft.includes('2019-09')) return new Ajv2019(options)
  return new Ajv(options)
}

function issuesOf({ errors }: ValidateFunction): string {
  const texts = (errors ?? []).map(({ instancePath, message = '', params }) => {
    const at = instancePath.slice(1).replaceAll('/', '.')
    const extra = 'additionalProperty' in params ? ` ('${String(params['additionalProperty'])}')` : ''
    return `${at === '' ? '' : `field '${at}': `}${message}${extra}`
  })
  return texts.slice(0, 3).join('; ') + (texts.length > 3 ? `; and ${texts.length - 3} more` : '')
}
