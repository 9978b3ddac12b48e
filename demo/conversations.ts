/**
 * The conversations of the systems that sealbus is for: eBADGE's between a virtual power plant, home energy hubs and a
 * grid operator; BEMCom's between a virtual power plant and a building's connector.
 */
import { randomUUID } from 'node:crypto'
import type { Delivery } from '../src/bus.js'
import { CONNECTOR, HUBS, TSO, VPP } from './cast.js'
import type { Fields, Talk } from './talk.js'

const MINUTE_MS = 60_000
const iso = (offsetMs: number): string => new Date(Date.now() + offsetMs).toISOString()

/** What each member of the cast does with what arrives. */
export function handlerOf(name: string, talk: Talk): (message: Delivery) => Promise<void> {
  return async message => {
    const fields = talk.received(message)
    const answer = answers[message.type]?.(fields)
    if (answer) await talk.answer(name, message, answer.type, answer.fields)
    if (message.type === 'bemcom/datapoint_map') await publishValues(name, talk, fields)
  }
}

interface Answer {
  readonly type: string
  readonly fields: Fields
}

/** Questions by type, and what a hub or an operator answers. */
const answers: Readonly<Record<string, (question: Fields) => Answer>> = {
  get_report: ({ from, to, resolution }) => ({
    type: 'report',
    fields: {
      msg: 'report',
      from,
      to,
      resolution,
      values: { load: [1.52, 1.48, 1.61], generation: [0, 0.12, 0.31] },
    },
  }),
  activate: ({ id, modification_count }) => ({
    type: 'accept_activation',
    fields: { msg: 'accept_activation', id, modification_count },
  }),
  balancing_reserve_bid: ({ msg_id }) => ({
    type: 'response',
    fields: { msg: 'response', msg_id, response_code: 200, response_desc: 'OK' },
  }),
}

async function publishValues(name: string, talk: Talk, map: Fields): Promise<void> {
  const topics = Object.values((map['sensor'] ?? {}) as Record<string, string>)
  for (const topic of topics) {
    await talk.send(name, VPP, 'bemcom/value', { topic, value: '18.0', timestamp: Date.now() })
  }
}

/** `get_report` → `report`, from every hub. @returns what was asked and answered, for people */
export async function askForReports(talk: Talk): Promise<string> {
  const question = {
    msg: 'get_report',
    from: iso(-45 * MINUTE_MS),
    to: iso(0),
    resolution: 900,
    signals: ['load', 'generation'],
  }
  const reports = await Promise.all(HUBS.map(hub => talk.ask(VPP, hub, 'get_report', question)))
  return `get_report → report: ${reports.filter(report => report['msg'] === 'report').length} of ${HUBS.length} hubs answered`
}

/** `activate` → `accept_activation`, to every hub. */
export async function activateHubs(talk: Talk): Promise<string> {
  const accepted = await Promise.all(HUBS.map(hub => talk.ask(VPP, hub, 'activate', activation())))
  const yes = accepted.filter(answer => answer['msg'] === 'accept_activation').length
  return `activate → accept_activation: ${yes} of ${HUBS.length} hubs accepted`
}

/** One activation: two kilowatts less load for a quarter of an hour. */
export function activation(): Fields {
  return {
    msg: 'activate',
    id: randomUUID(),
    modification_count: 0,
    from: iso(5 * MINUTE_MS),
    to: iso(20 * MINUTE_MS),
    quantity: 2,
    device: null,
  }
}

/** `balancing_reserve_bid` → `response`: a binding bid to the grid operator. */
export async function bid(talk: Talk): Promise<string> {
  const answer = await talk.ask(VPP, TSO, 'balancing_reserve_bid', {
    msg: 'balancing_reserve_bid',
    msg_id: randomUUID(),
    bid_id: randomUUID(),
    product: { positive: true, start: iso(60 * MINUTE_MS), end: iso(120 * MINUTE_MS) },
    quantity: 0.02,
    divisible: true,
    reserve_price: 12.5,
    energy_price: 95,
  })
  return `balancing_reserve_bid → response: code ${String(answer['response_code'])}`
}

/** BEMCom's `datapoint_map` to a connector, which then publishes the values of the mapped datapoints. */
export async function mapDatapoints(talk: Talk): Promise<string> {
  const sensor = {
    Channel__P__value__0: 'example-connector/messages/1/value',
    Channel__P__unit__0: 'example-connector/messages/2/value',
  }
  const actuator = { 'example-connector/messages/3/value': 'Channel__P__setpoint__0' }
  await talk.send(VPP, CONNECTOR, 'bemcom/datapoint_map', { sensor, actuator })
  return `datapoint_map → datapoint values: ${Object.keys(sensor).length} datapoints mapped`
}
