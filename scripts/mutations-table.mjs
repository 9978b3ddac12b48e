/**
 * What is broken on purpose by mutations.mjs. `law`: the invariant of docs/DELIVERY.md (I1 nothing lost, I2 nothing twice,
 * I3 order, I4 nothing hangs or crashes, I5 memory, I6 back in time), or what else is promised. `text` stands once in `file`.
 */
import { CHECKING } from './mutations-checking.mjs'
import { RECEIVING } from './mutations-receiving.mjs'
import { SENDING } from './mutations-sending.mjs'

export const MUTATIONS = [...SENDING, ...RECEIVING, ...CHECKING]
