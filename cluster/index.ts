/** Real RabbitMQ nodes on loopback, for development, tests, the demonstration and fault injection. */

export { Cluster, VHOST } from './cluster.js'
export type { ClusterNode } from './node.js'
export { ownPki, type ProvisionedClusterOptions, startProvisionedCluster } from './provisioned.js'
export { findRabbitmq } from './rabbitmq.js'
export { type BrokerTls, type ClusterOptions, openCluster, startCluster, syncDefinitions } from './start.js'
export { defaultFolder } from './state.js'
