/**
 * The policy that a new domain starts with: the roles of an energy market and of a building, and which message types
 * go between them. Written to D/policy.json once; that file counts from then on.
 */
import type { DomainPolicy } from './policy.js'

/** An activation that is a quarter of an hour old is safer ignored. */
const ACTIVATION_MAX_AGE_S: number = 15 * 60

const ACTIVATIONS = ['activate', 'contingency_activate', 'contingency_end']
const QUESTIONS = [
  'get_report',
  'get_load_report',
  'get_periodic_report',
  'get_energy_events',
  'get_energy_events_realtime',
  'get_activation_capacity',
  'get_status_report',
  'get_capabilities',
]
const SETTINGS = ['load_price', 'generation_price', 'set_clock', 'set_smart_mode']
const ANSWERS = [
  'report',
  'load_report',
  'energy_events',
  'accept_activation',
  'reject_activation',
  'modify_activation',
  'activation_capacity',
  'get_all_prices',
  'status_report',
  'capabilities',
  'device_capabilities',
]
const BIDS = ['balancing_reserve_bid', 'balancing_energy_bid', 'response']
const MARKET = ['bid_accepted', 'market_cleared', 'response']
const BETWEEN_TSOS = [
  'balancing_energy_bid',
  'request_balancing',
  'balancing_activated',
  'balancing_unachievable',
  'response',
]
/** Any message of BEMCom, its topic being in the type or in the message. */
const BEMCOM = ['bemcom/*']

const between = (from: string, to: string, types: readonly string[], maxAgeSeconds?: number) => ({
  from: { role: from },
  to: { role: to },
  types,
  ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
})

/** n.b. permitting a request permits its reply and its receipt; these need no row. */
export const DEFAULT_POLICY: DomainPolicy = {
  version: 1,
  roles: {
    vpp: { inbox: 'quorum', declare: true },
    tso: { inbox: 'quorum', declare: true },
    dso: { inbox: 'quorum', declare: true },
    api: { inbox: 'quorum', declare: true },
    connector: { inbox: 'quorum', declare: true },
    controller: { inbox: 'quorum', declare: true },
    heh: { inbox: 'quorum', declare: false },
  },
  allow: [
    between('vpp', 'heh', ACTIVATIONS, ACTIVATION_MAX_AGE_S),
    between('vpp', 'heh', [...QUESTIONS, ...SETTINGS]),
    between('heh', 'vpp', ANSWERS),
    between('dso', 'heh', ['contingency_activate', 'contingency_end'], ACTIVATION_MAX_AGE_S),
    between('dso', 'heh', QUESTIONS),
    between('heh', 'dso', ANSWERS),
    between('vpp', 'tso', BIDS),
    between('tso', 'vpp', ['activate_bid'], ACTIVATION_MAX_AGE_S),
    between('tso', 'vpp', MARKET),
    between('tso', 'tso', ['activate_bid'], ACTIVATION_MAX_AGE_S),
    between('tso', 'tso', BETWEEN_TSOS),
    ...['api', 'vpp', 'controller'].flatMap(role => [
      between('connector', role, BEMCOM),
      between(role, 'connector', BEMCOM),
    ]),
    between('api', 'controller', BEMCOM),
    between('controller', 'api', BEMCOM),
  ],
}
