/* host.c: the machine that this process runs on. */
#include <pthread.h>

#include "ledger/ledger.h"
#include "plat/machine.h"

static machine_cpu cpu;
static char system_text[160];
static ledger_machine here;

static void read_once(void)
{
    machine_memory memory;
    machine_read_cpu(&cpu);
    machine_read_memory(&memory);
    here = (ledger_machine){ cpu.name, cpu.online, memory.total_bytes,
                             machine_system(system_text, sizeof system_text) };
}

const ledger_machine *ledger_this_machine(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_once);
    return &here;
}
