/** Who takes part in the demonstration: their addresses and roles. */

export const VPP = 'vpp-0001'
export const TSO = 'tso-0001'
export const CONNECTOR = 'bemcom-0001'
export const HUBS: readonly string[] = Array.from(
  { length: 10 },
  (_, i) => `heh-${String(i + 1).padStart(4, '0')}`,
)

export const CAST: readonly { readonly name: string; readonly role: string }[] = [
  { name: VPP, role: 'vpp' },
  { name: TSO, role: 'tso' },
  { name: CONNECTOR, role: 'connector' },
  ...HUBS.map(name => ({ name, role: 'heh' })),
]
