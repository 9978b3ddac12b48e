/**
 * What an error of amqplib, Node or OpenSSL means, as a SealbusError that says what to do. A table, first match wins.
 * Reply codes: AMQP 0-9-1 §1.2 and RabbitMQ's use of them.
 */
import { asError, type ErrorCode, SealbusError } from '../errors.js'

interface Row {
  readonly match: RegExp
  readonly code: ErrorCode
  readonly advice: string
}

/** Connecting: the text is `code message` of the error. */
const CONNECT: readonly Row[] = [
  {
    match: /CERT_HAS_EXPIRED/,
    code: 'unauthorised',
    advice: "the broker's TLS certificate has expired: its operator has to renew it",
  },
  {
    match: /ERR_TLS_CERT_ALTNAME_INVALID/,
    code: 'unauthorised',
    advice: "the broker's TLS certificate is for another name: mend the URL, or set tls.servername",
  },
  {
    match:
      /UNABLE_TO_|SELF_SIGNED|CERT_(?:SIGNATURE|UNTRUSTED|REVOKED|NOT_YET)|INVALID_CA|ERR_SSL_CERTIFICATE_VERIFY/,
    code: 'unauthorised',
    advice:
      "the broker's TLS certificate is not signed by the configured CA: check serverCa (broker-root.crt), or who answers there",
  },
  {
    match: /alert certificate expired|ALERT_CERTIFICATE_EXPIRED/i,
    code: 'unauthorised',
    advice: 'the broker says that our TLS client certificate has expired: renew it',
  },
  {
    match: /alert unknown ca|ALERT_UNKNOWN_CA/i,
    code: 'unauthorised',
    advice:
      'the broker does not know the CA of our TLS client certificate: give the broker the CA, or us the right certificate',
  },
  {
    match:
      /ALERT_(?:BAD_|NO_|UNSUPPORTED_)?CERTIFICATE|alert [a-z ]*certificate|ALERT_HANDSHAKE_FAILURE|ALERT_ACCESS_DENIED/i,
    code: 'unauthorised',
    advice: 'the broker refuses our TLS client certificate: check certificate and key',
  },
  {
    match: /KEY_VALUES_MISMATCH|key values mismatch|ERR_OSSL|PEM routines|ERR_CRYPTO/i,
    code: 'unauthorised',
    advice: 'our own TLS key or certificate cannot be used: check that both are PEM and belong together',
  },
  {
    match: /SASL mechanism/,
    code: 'unauthorised',
    advice:
      'the broker does not offer this way to log in: enable it there, or configure the other (EXTERNAL or PLAIN)',
  },
  {
    match: /Handshake terminated by server: 403|ACCESS.REFUSED/,
    code: 'unauthorised',
    advice: 'the broker refuses our user: it has to exist there, with this certificate name or password',
  },
  {
    match: /Expected ConnectionOpenOk; got <ConnectionClose|NOT.ALLOWED/,
    code: 'unauthorised',
    advice:
      'the broker refuses the virtual host: it has to exist, be permitted to our user, and be below its connection limit',
  },
  {
    match: /ENOTFOUND|EAI_/,
    code: 'connection-lost',
    advice: 'the name does not resolve: check the URL and DNS',
  },
  {
    match: /ECONNREFUSED/,
    code: 'connection-lost',
    advice: 'nothing listens there: check the URL, or the node is down',
  },
  {
    match: /ERR_SSL_WRONG_VERSION_NUMBER|wrong version number|ERR_SSL_PACKET_LENGTH/,
    code: 'connection-lost',
    advice: 'no TLS is spoken there: check scheme and port',
  },
]

/** Why a connection could not be opened to `where`. */
export function connectFailure(thrown: unknown, where: string): SealbusError {
  if (thrown instanceof SealbusError && thrown.code !== 'timeout') return thrown
  const error = asError(thrown)
  const text = describe(error)
  const row = CONNECT.find(candidate => candidate.match.test(text))
  const advice = row?.advice ?? 'it will be tried again'
  return new SealbusError(row?.code ?? 'connection-lost', `no connection to ${where} (${text}): ${advice}`, {
    cause: error,
  })
}

/** The connection or channel is gone and the fate of what was on it unknown. */
export function connectionLost(cause: Error | undefined): SealbusError {
  const why = cause === undefined ? 'it was closed' : describe(cause)
  return new SealbusError(
    'connection-lost',
    `connection to the broker lost (${why}): the outcome is unknown`,
    { cause },
  )
}

/** The reply code that the broker closed a channel with, if it was the broker. */
export function replyCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'number' ? code : undefined
}

/** Why a step (declare, consume, publish) made the broker close the channel. */
export function channelFailure(thrown: unknown, step: string): SealbusError {
  if (thrown instanceof SealbusError) return thrown
  const error = asError(thrown)
  switch (replyCode(error)) {
    case 403:
      return new SealbusError(
        'unauthorised',
        `${step}: the broker refuses the permission (${error.message}): its operator has to grant it`,
        { cause: error },
      )
    case 404:
      return new SealbusError(
        'unauthorised',
        `${step}: it does not exist at the broker (${error.message}): import the definitions, or declare it`,
        { cause: error },
      )
    case 405:
    case 406:
      return new SealbusError(
        'broker-refused',
        `${step}: it exists with other properties (${error.message}): delete it, or configure the kind that it has`,
        { cause: error },
      )
    case undefined:
      return connectionLost(error)
    default:
      return new SealbusError('broker-refused', `${step}: the broker closed the channel (${error.message})`, {
        cause: error,
      })
  }
}

/** The routing key that a 403 names, when it is a topic that is refused and not the exchange. */
export function refusedTopic(error: unknown): string | undefined {
  if (replyCode(error) !== 403) return undefined
  return /access to topic '([^']*)'/.exec(asError(error).message)?.[1]
}

/** `CODE message`, without what would repeat itself. */
function describe(error: Error): string {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && !error.message.includes(code)
    ? `${code} ${error.message}`
    : error.message
}
