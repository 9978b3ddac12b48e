/** What an operator can take away from users: permissions, the user, the vhost; and all of it brought back. */
import type { Actions } from './actions.js'
import { ACTOR, order, type Shell, text } from './erlang.js'
import type { Provisioned } from './provisioned.js'

type Rights = Pick<
  Actions,
  'grantEverything' | 'revokePermissions' | 'deleteUser' | 'deleteVhost' | 'restoreDefinitions'
>

export function rightsActions(shell: Shell, vhost: string, provisioned: Provisioned): Rights {
  const broken = async (expression: string): Promise<void> => {
    await provisioned.remember()
    await order(shell, expression)
  }
  const user = (name: string, change: string): string =>
    `case rabbit_auth_backend_internal:exists(${text(name)}) of true -> ${change}; false -> ok end`
  return {
    grantEverything: name =>
      broken(
        `ok = rabbit_auth_backend_internal:set_permissions(${text(name)}, ${text(vhost)}, <<".*">>, <<".*">>, <<".*">>, ${ACTOR}), ` +
          `ok = rabbit_auth_backend_internal:clear_topic_permissions(${text(name)}, ${text(vhost)}, ${ACTOR})`,
      ),
    revokePermissions: name =>
      broken(
        user(
          name,
          `ok = rabbit_auth_backend_internal:clear_permissions(${text(name)}, ${text(vhost)}, ${ACTOR})`,
        ),
      ),
    deleteUser: name =>
      broken(user(name, `ok = rabbit_auth_backend_internal:delete_user(${text(name)}, ${ACTOR})`)),
    deleteVhost: () =>
      broken(
        `case rabbit_vhost:exists(${text(vhost)}) of true -> rabbit_vhost:delete(${text(vhost)}, ${ACTOR}), false = rabbit_vhost:exists(${text(vhost)}); false -> ok end`,
      ),
    restoreDefinitions: () => provisioned.restore(),
  }
}
