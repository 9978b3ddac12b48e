/**
 * What an earlier life of the process learnt and kept in its state folder: the newest revocation list, cards of peers. It
 * counts again, and what is learnt now is kept.
 */
import { asError } from './errors.js'
import type { Emit } from './events.js'
import { isOlderList } from './folder-reader.js'
import type { LoadedFolder } from './identity-folder.js'
import { keepCard, keptRevocationList, learntCards } from './state-folder.js'

/** Takes both again. @param now - milliseconds since 1970 @throws SealbusError `store-failed` */
export async function recall(
  folder: LoadedFolder,
  state: string,
  now: () => number,
  emit: Emit,
): Promise<void> {
  await recallRevocations(folder, state, now, emit) // n.b. before the cards, which are judged by it
  await recallCards(folder, state, now, emit)
}

/** Keeps the cards that are learnt from now on. */
export function keepNewCards({ directory }: LoadedFolder, state: string, emit: Emit): void {
  directory.onNew(card => {
    keepCard(state, card, card.bytes).catch((error: unknown) => {
      emit('card-not-kept', { party: card.address, reason: asError(error).message, alarm: true })
    })
  })
}

/** n.b. a damaged one is told, and the folder's counts. */
async function recallRevocations(
  { trust }: LoadedFolder,
  state: string,
  now: () => number,
  emit: Emit,
): Promise<void> {
  const kept = await keptRevocationList(state)
  if (kept === undefined) return
  try {
    if (!isOlderList(kept, trust.revocationList())) trust.acceptRevocationList(kept, now())
  } catch (error) {
    emit('identity-warning', { warning: `${state}: ${asError(error).message}`, alarm: true })
  }
}

async function recallCards(
  { directory }: LoadedFolder,
  state: string,
  now: () => number,
  emit: Emit,
): Promise<void> {
  for (const bytes of await learntCards(state)) {
    try {
      directory.offer(bytes, now())
    } catch (error) {
      emit('card-forgotten', { reason: asError(error).message }) // n.b. expired since, or from another domain's time
    }
  }
}
