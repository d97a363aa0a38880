#include "sim/app.h"
#include <stdio.h>
int main(void)
{
    static struct sim_world w;
    static struct sim_app a;
    sim_world_init(&w, 1);
    w.tracing = true;
    sim_app_init(&a, &w);
    sim_app_make(&a);
    sim_start(&a);
    sim_app_run(&a, 200);
    sim_send(&a, 20);
    sim_app_run(&a, 200);
    sim_stop(&a);
    sim_app_run(&a, 200);
    sim_app_finish(&a);
    fputs(w.trace, stdout);
    sim_world_fini(&w);
    return 0;
}
