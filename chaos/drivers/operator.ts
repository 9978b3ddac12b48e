/** Everything that an operator can do from within a broker: for every driver that can evaluate an expression on its nodes. */
import { VHOST } from '../../cluster/index.js'
import type { Actions } from './actions.js'
import type { Shell } from './erlang.js'
import { maintenanceActions } from './maintenance.js'
import { Provisioned } from './provisioned.js'
import { resourceActions } from './resources.js'
import { rightsActions } from './rights.js'
import { topologyActions } from './topology.js'

/** What needs a process or a network is not among them. */
export type OperatorActions = Omit<
  Actions,
  | ('kill' | 'terminate' | 'start' | 'pause' | 'resume' | 'partition' | 'healPartition')
  | ('replaceCertificates' | 'renewIdentity')
>

export function operatorActions(shell: Shell, vhost: string = VHOST): OperatorActions {
  const provisioned = new Provisioned(shell, vhost)
  return {
    ...maintenanceActions(shell, vhost),
    ...resourceActions(shell),
    ...topologyActions(shell, vhost, provisioned),
    ...rightsActions(shell, vhost, provisioned),
  }
}
