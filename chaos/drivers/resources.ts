/** Resource alarms: made by moving the threshold, so that the broker's own monitor raises and clears them. */
import type { Actions } from './actions.js'
import { answering, order, type Shell } from './erlang.js'
import { until } from './waiting.js'

/** Less than any node needs. */
const NO_MEMORY = '0.00001'
/** More than any disk has, bytes. */
const NO_DISK = '1 bsl 60'

/** n.b. the environment keeps what the configuration says: that is what is gone back to. */
const SETTING = {
  memory: (value: string) => `vm_memory_monitor:set_vm_memory_high_watermark(${value})`,
  disk: (value: string) => `rabbit_disk_monitor:set_disk_free_limit(${value})`,
} as const
const CONFIGURED = {
  memory: 'element(2, {ok, _} = application:get_env(rabbit, vm_memory_high_watermark))',
  disk: 'element(2, {ok, _} = application:get_env(rabbit, disk_free_limit))',
} as const

export function resourceActions(shell: Shell): Pick<Actions, 'memoryAlarm' | 'diskAlarm' | 'limitBodies'> {
  return {
    memoryAlarm: (node, on) => alarm(shell, node, 'memory', on ? NO_MEMORY : undefined),
    diskAlarm: (node, on) => alarm(shell, node, 'disk', on ? NO_DISK : undefined),
    async limitBodies(bytes) {
      for (const node of answering(shell)) await order(shell, bodies(bytes), node)
    },
  }
}

async function alarm(
  shell: Shell,
  node: string,
  kind: 'memory' | 'disk',
  limit: string | undefined,
): Promise<void> {
  await order(shell, SETTING[kind](limit ?? CONFIGURED[kind]), node)
  const raised = `lists:any(fun({{resource_limit, R, N}, _}) -> R =:= ${kind} andalso N =:= node(); (_) -> false end, rabbit_alarm:get_alarms())`
  const wanted = limit !== undefined
  await until(
    async () => (await shell.evaluate(raised, node)) === wanted,
    `${node}: the ${kind} alarm to be ${wanted ? 'raised' : 'cleared'}`,
  )
}

/** What is configured is kept aside the first time. */
function bodies(bytes: number | undefined): string {
  const configured =
    'Kept = persistent_term:get(sealbus_chaos_bodies, none), {ok, Now} = application:get_env(rabbit, max_message_size), ' +
    'Was = case Kept of none -> persistent_term:put(sealbus_chaos_bodies, Now), Now; _ -> Kept end'
  return `${configured}, application:set_env(rabbit, max_message_size, ${bytes ?? 'Was'})`
}
