/**
 * The kinds of certificate that a domain issues, one row each (RFC 5280 §4.2). To change a lifetime, a usage or a
 * constraint, change a row.
 */

/** What a certificate may be used for, and for how long. */
export interface Profile {
  /** `cA` of basicConstraints; a leaf has no basicConstraints, which means false (§4.2.1.9). */
  readonly ca: boolean
  /** Certificate authorities that may follow below it. */
  readonly pathLength?: number
  readonly keyUsage: readonly KeyUsage[]
  /** Empty: the extension is left out. */
  readonly extendedKeyUsage: readonly ExtendedKeyUsage[]
  readonly lifetimeDays: number
}

export type ProfileName =
  | 'identityRoot'
  | 'issuingCa'
  | 'device'
  | 'revocationSigner'
  | 'brokerRoot'
  | 'brokerServer'

/** Bits of the keyUsage extension (§4.2.1.3), bit 0 being the highest of the first byte. */
export const KEY_USAGE = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const
export type KeyUsage = keyof typeof KEY_USAGE

/** Purposes (§4.2.1.12). */
export const EXTENDED_KEY_USAGE = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const
export type ExtendedKeyUsage = keyof typeof EXTENDED_KEY_USAGE

/** Certificates begin a little in the past: clocks of devices are late. */
export const BACKDATE_S: number = 5 * 60

const YEAR = 365

/**
 * | profile | signed by | signs |
 * | --- | --- | --- |
 * | identityRoot | itself | issuingCa, revocationSigner |
 * | issuingCa | identityRoot | device |
 * | device | issuingCa | envelopes and cards; TLS client |
 * | revocationSigner | identityRoot | the revocation list, and nothing else: no clientAuth, so no TLS client and no identity |
 * | brokerRoot | itself | brokerServer |
 * | brokerServer | brokerRoot | TLS server |
 */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  identityRoot: {
    ca: true,
    pathLength: 1,
    keyUsage: ['keyCertSign', 'cRLSign'],
    extendedKeyUsage: [],
    lifetimeDays: 20 * YEAR,
  },
  issuingCa: {
    ca: true,
    pathLength: 0,
    keyUsage: ['keyCertSign', 'cRLSign'],
    extendedKeyUsage: ['clientAuth'],
    lifetimeDays: 10 * YEAR,
  },
  device: { ca: false, keyUsage: ['digitalSignature'], extendedKeyUsage: ['clientAuth'], lifetimeDays: 90 },
  revocationSigner: {
    ca: false,
    keyUsage: ['digitalSignature'],
    extendedKeyUsage: [],
    lifetimeDays: 10 * YEAR,
  },
  brokerRoot: {
    ca: true,
    pathLength: 0,
    keyUsage: ['keyCertSign', 'cRLSign'],
    extendedKeyUsage: [],
    lifetimeDays: 20 * YEAR,
  },
  brokerServer: {
    ca: false,
    keyUsage: ['digitalSignature'],
    extendedKeyUsage: ['serverAuth'],
    lifetimeDays: 397,
  },
}
