import { describe, expect, test } from 'vitest'
import { channelFailure, connectFailure, connectionLost, refusedTopic } from '../../src/transport/failures.js'

const coded = (code: string | number, message: string): Error => Object.assign(new Error(message), { code })

describe('why there is no connection', () => {
  test.each([
    ['CERT_HAS_EXPIRED', 'certificate has expired', 'unauthorised', 'its operator has to renew it'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'Hostname/IP does not match', 'unauthorised', 'tls.servername'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate', 'unauthorised', 'serverCa'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate', 'unauthorised', 'serverCa'],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'alert', 'unauthorised', 'renew it'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'alert', 'unauthorised', 'does not know the CA'],
    [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      'alert',
      'unauthorised',
      'refuses our TLS client certificate',
    ],
    ['ERR_OSSL_X509_KEY_VALUES_MISMATCH', 'key values mismatch', 'unauthorised', 'belong together'],
    ['', 'SASL mechanism EXTERNAL is not provided by the server', 'unauthorised', 'EXTERNAL or PLAIN'],
    ['', 'Handshake terminated by server: 403 (ACCESS-REFUSED)', 'unauthorised', 'refuses our user'],
    ['', 'Expected ConnectionOpenOk; got <ConnectionClose channel:0>', 'unauthorised', 'virtual host'],
    ['ENOTFOUND', 'getaddrinfo', 'connection-lost', 'DNS'],
    ['ECONNREFUSED', 'connect', 'connection-lost', 'nothing listens'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version number', 'connection-lost', 'no TLS'],
    ['EWHATEVER', 'strange', 'connection-lost', 'tried again'],
  ])('%s %s: %s', (code, message, expected, advice) => {
    const failure = connectFailure(code === '' ? new Error(message) : coded(code, message), 'host:5671')
    expect(failure.code).toBe(expected)
    expect(failure.message).toContain(advice)
    expect(failure.message).toContain('host:5671')
  })
})

describe('why a channel died', () => {
  test.each([
    [403, 'unauthorised', 'grant'],
    [404, 'unauthorised', 'does not exist'],
    [406, 'broker-refused', 'other properties'],
    [541, 'broker-refused', 'closed the channel'],
  ])('%i: %s', (code, expected, advice) => {
    const failure = channelFailure(coded(code, 'words of the broker'), 'declare inbox.a')
    expect(failure.code).toBe(expected)
    expect(failure.message).toContain(advice)
    expect(failure.message).toContain('declare inbox.a')
    expect(failure.cause).toBeInstanceOf(Error)
  })

  test('without a reply code the connection was lost; what is classified already stays', () => {
    expect(channelFailure(new Error('Channel ended'), 'declare').code).toBe('connection-lost')
    const lost = connectionLost(undefined)
    expect(channelFailure(lost, 'declare')).toBe(lost)
    expect(lost.message).toContain('outcome is unknown')
  })

  test('a 403 that names a topic names its routing key', () => {
    const text =
      "ACCESS_REFUSED - access to topic 'b.a' in exchange 'sealbus' in vhost 'sealbus' refused for user 'c'"
    expect(refusedTopic(coded(403, text))).toBe('b.a')
    expect(refusedTopic(coded(403, "ACCESS_REFUSED - access to exchange 'sealbus' refused"))).toBeUndefined()
    expect(refusedTopic(coded(404, text))).toBeUndefined()
  })
})
