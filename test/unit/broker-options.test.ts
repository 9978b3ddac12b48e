/** What connect() is asked for about brokers, and what the transport makes of it. */
import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { rabbitOptions } from '../../src/broker-options.js'
import type { LoadedFolder } from '../../src/identity-folder.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import { issue, pem } from '../support/certificates.js'

const config = {
  address: 'heh-0001',
  brokers: ['amqps://one:5671'],
  vhost: 'sealbus',
  exchange: 'sealbus',
  inbox: { kind: 'classic', declare: false },
}

function folderOf(more: object = {}): LoadedFolder {
  const { der, privateKey } = issue({})
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const tls = (): Promise<object> => Promise.resolve({ cert: pem(der), key })
  return {
    config: { ...config, ...more },
    password: () => Promise.resolve(undefined),
    tls,
  } as unknown as LoadedFolder
}

describe('the profile', () => {
  it('of an installation comes back fast, the one of a hub patiently', async () => {
    const fast = { connectTimeoutMs: 5_000, reconnectMaxMs: 5_000 }
    expect(await rabbitOptions(folderOf())).toMatchObject(fast)
    expect(await rabbitOptions(folderOf(), { profile: 'installation' })).toMatchObject(fast)
    const patient = { connectTimeoutMs: 15_000, reconnectMaxMs: 60_000 }
    expect(await rabbitOptions(folderOf(), { profile: 'hub' })).toMatchObject(patient)
  })

  it('is what single options default to', async () => {
    const made = await rabbitOptions(folderOf(), { profile: 'hub', reconnectMaxMs: 90_000 })
    expect(made).toMatchObject({ connectTimeoutMs: 15_000, reconnectMaxMs: 90_000 })
  })

  it.each(['satellite', 'constructor'])('that there is not is refused: %s', async profile => {
    await expect(rabbitOptions(folderOf(), { profile: profile as 'hub' })).rejects.toThrow(
      expect.objectContaining({ code: 'configuration' }) as Error,
    )
  })
})

describe('TLS files that are damaged while the process runs', () => {
  it('are a state that says so, and end nothing', async () => {
    const tls = (): Promise<object> => Promise.resolve({ cert: 'torn', key: 'torn' })
    const options = await rabbitOptions({ ...folderOf(), tls } as unknown as LoadedFolder)
    const unheard = vi.fn()
    process.on('unhandledRejection', unheard)
    const transport = rabbitTransport({ ...options, brokers: ['amqps://127.0.0.1:1'] })
    const told = new Promise<unknown>(resolve => {
      transport.onEvent(({ name, detail }) => name === 'unauthorised' && resolve(detail?.['reason']))
    })
    void transport.start().catch(() => undefined)
    expect(await told).toMatch(/our own TLS key or certificate cannot be used/)
    await transport.close()
    process.off('unhandledRejection', unheard)
    expect(unheard).not.toHaveBeenCalled()
  })
})

describe('reconnectMaxMs', () => {
  const cleanup: (() => Promise<unknown> | undefined)[] = []
  afterEach(async () => {
    for (const undo of cleanup.splice(0).reverse()) await undo()
    vi.restoreAllMocks()
  })

  /** A port that takes connections and drops them. */
  async function dropping(): Promise<number> {
    const server: Server = createServer(socket => socket.destroy())
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    cleanup.push(() => new Promise(resolve => server.close(resolve)))
    const at = server.address()
    return typeof at === 'object' && at !== null ? at.port : 0
  }

  it('is the longest pause between two attempts', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999)
    const brokers = [`amqps://127.0.0.1:${await dropping()}`]
    const transport = rabbitTransport(await rabbitOptions(folderOf(), { brokers, reconnectMaxMs: 1_000 }))
    cleanup.push(() => transport.close())
    const pauses: unknown[] = []
    const seen = new Promise<void>(resolve => {
      transport.onEvent(({ name, detail }) => {
        if (name === 'disconnected') pauses.push(detail?.['againInMs'])
        if (pauses.length === 7) resolve()
      })
    })
    void transport.start().catch(() => undefined)
    await seen
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_000, 1_000])
  }, 30_000)
})
