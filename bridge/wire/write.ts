/** Writes the JSON Schemas of the wire beside this file: `npm run wire`. */
import { writeFileSync } from 'node:fs';
import { wireSchemas } from '../src/pipecat/wire.ts';

for (const [name, schema] of Object.entries(wireSchemas()))
  writeFileSync(new URL(name, import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);
