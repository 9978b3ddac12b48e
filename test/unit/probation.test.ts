/** What a start that follows no orderly end does with messages: one at a time, counted, and not for ever. */
import { describe, expect, it } from 'vitest'
import { Probation } from '../../src/reliability/probation.js'

const KEY = { domain: 'field', address: 'heh-0001', epoch: '00112233445566aa' }

function started(unclean: boolean): { probation: Probation; events: string[] } {
  const events: string[] = []
  let attempts = 0
  const store = { attempt: () => Promise.resolve(++attempts), survived: () => undefined }
  const probation = new Probation({ store, unclean, emit: event => void events.push(event) })
  return { probation, events }
}

describe('after an unclean start', () => {
  it('a message is tried twice and no third time: it may be what killed the process', async () => {
    const { probation } = started(true)
    const admitted = []
    for (let i = 0; i < 4; i++) admitted.push(await probation.admits(KEY, 7))
    expect(admitted).toEqual([true, true, false, false])
  })

  it('probation ends with the 20th message that was handled', () => {
    const { probation, events } = started(true)
    for (let i = 0; i < 19; i++) probation.handled()
    expect(probation.isOn).toBe(true)
    probation.handled()
    expect(probation.isOn).toBe(false)
    expect(events).toEqual(['unclean-start', 'probation-over'])
  })
})

describe('after an orderly end', () => {
  it('there is no probation', () => {
    const { probation, events } = started(false)
    expect(probation.isOn).toBe(false)
    expect(events).toEqual([])
  })
})
