/** Real RabbitMQ nodes on loopback, for development, tests, the demonstration and fault injection. */

export { Cluster, VHOST } from './cluster.js'
export { syncDefinitions } from './launch.js'
export {
  clientAddresses,
  freeNetwork,
  type NodeNetwork,
  nodeNetwork,
  setNodeLink,
  setPath,
} from './network.js'
export type { ClusterNode } from './node.js'
export type { BrokerTls, ClusterOptions } from './options.js'
export { ownPki, type ProvisionedClusterOptions, startProvisionedCluster } from './provisioned.js'
export { findRabbitmq } from './rabbitmq.js'
export { openCluster, startCluster } from './start.js'
export { defaultFolder } from './state.js'
