/** What a seen store that other workers write to may tell the receiver, as events and deeds. */
import { partyKey } from '../wire.js'
import type { Dispatcher } from './dispatch.js'
import type { Epochs } from './epochs.js'
import type { SeenHooks, SeenStore } from './seen.js'

export interface StoreHooksOptions<Tx> {
  readonly seen: Pick<SeenStore<Tx>, 'note'>
  readonly lifetimeMs: number
  readonly emit: (event: string, detail: object) => void
  /** There only once the store has started. */
  readonly epochs: () => Epochs | undefined
  readonly dispatcher: () => Dispatcher<Tx> | undefined
}

export function storeHooks<Tx>(options: StoreHooksOptions<Tx>): SeenHooks {
  const { seen, lifetimeMs, emit, epochs, dispatcher } = options
  return {
    lifetimeMs,
    lost: () => {
      emit('seen-lost', { alarm: true })
      for (const lane of epochs()?.lanes() ?? []) seen.note(lane.memory.record())
    },
    waiting: reason => emit('store-waiting', { reason: reason.message, alarm: true }),
    resumed: () => emit('store-resumed', { alarm: false }),
    overtaken: (key, seq) => {
      emit('overtaken', { from: partyKey(key), epoch: key.epoch, seq, alarm: true })
      dispatcher()?.overtaken(key, seq)
    },
  }
}
