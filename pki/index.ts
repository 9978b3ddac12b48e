/** A domain's certificate authority, its devices, and what the broker has to know of them. */
export { type BrokerCertificate, type BrokerCertificateOptions, issueBrokerCertificate } from './broker.js'
export { EXCHANGE, PARKED_EXCHANGE, VHOST } from './definitions.js'
export { issueDevice, type Provisioned, type ProvisionOptions, provision } from './fleet.js'
export { DEVICE_FILES, type Layout, layoutOf } from './layout.js'
export { type Refreshed, type RenewOptions, refresh, renew, revoke, setBrokers } from './maintenance.js'
export { checkAddress, checkDomain, type FleetMember, numberedFleet, parseFleetCsv } from './names.js'
export { PASSPHRASE_VARIABLE, type PassphraseOptions, readPassphrase } from './passphrase.js'
export { type InitOptions, initPki, openPki, type Pki, type PkiOptions, type Settings } from './pki.js'
export {
  checkInboxKind,
  type DomainPolicy,
  type InboxKind,
  type RoleSettings,
  type Rule,
  type Selector,
} from './policy.js'
export { type Device, findDevice, listDevices } from './registry.js'
export { type Finding, verifyDevice } from './verify.js'
