/** The clone that these scripts belong to, whatever the current folder is. */

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** A file of the clone. */
export const inRoot = (...parts) => join(ROOT, ...parts)

/** A program of a development dependency. */
export const tool = name => inRoot('node_modules', '.bin', name)

/** What the scripts say goes to stderr: stdout belongs to what they run. */
export const say = line => process.stderr.write(`${line}\n`)
