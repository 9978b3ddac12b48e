import { lookup } from 'node:dns/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { answerNames, takeForLoopback } from '../../chaos/resolver.js'

afterEach(() => answerNames('real'))

describe('names that go wrong', () => {
  it('fail, move to an address where nobody is, and are as they were', async () => {
    const before = await lookup('localhost', { all: true })
    answerNames('failing')
    await expect(lookup('localhost', { all: true })).rejects.toThrow('ENOTFOUND')
    answerNames('moved')
    expect(await lookup('localhost', { all: true })).toEqual([
      { address: '127.86.86.86', family: 4 },
      ...before,
    ])
    answerNames('real')
    expect(await lookup('localhost', { all: true })).toEqual(before)
  })

  it('stand for loopback where links listen under the names of brokers', async () => {
    takeForLoopback(['mq1.example'])
    expect(await lookup('mq1.example', { all: true })).toEqual([{ address: '127.0.0.1', family: 4 }])
  })
})
