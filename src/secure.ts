/** Wraps a bus that is not ours: any object with `send` and `consume`. */
import type { BareBus, Bus } from './bus.js'
import { connectOver, type SecureOptions } from './connect.js'
import { SealbusError } from './errors.js'
import { keepParked } from './state-folder.js'
import { bareTransport } from './transport/bare.js'

/**
 * A secured {@link Bus} over `bus`, which carries sealed bodies and nothing else. Its handler's promise resolves where a
 * body is done with and rejects where it wants it again; what does not open is kept in the state folder.
 * @throws TypeError where `bus` lacks `send` or `consume`; SealbusError `identity`, `configuration`, `store-failed`
 */
export async function secure(bus: BareBus, options: SecureOptions): Promise<Bus> {
  for (const method of ['send', 'consume'] as const) {
    if (typeof bus[method] !== 'function')
      throw new TypeError(`bus: expected an object with a function ${method}`)
  }
  return connectOver(options, (folder, state) => {
    if (state === undefined)
      throw new SealbusError('configuration', 'state: a wrapped bus has no parking of its own: name a folder')
    const park = (publication: Parameters<typeof keepParked>[1]): Promise<void> =>
      keepParked(state, publication)
    return bareTransport(bus, { address: folder.config.address, park })
  })
}
