"""
Sabotages: one line of the library is made wrong, and a named check must fail.  Data only: run.py
applies each to a copy of the tree, one at a time.

|covers| says what of the design is broken by it: "promise N" (docs/promises.md), "row: ..." of the
failure table (docs/promises.md, lib/core/verdict.h), or one of the mistakes that run.py lists.
|old| occurs once in |file|.  |program| is a test program, and |case| the case of it that must fail;
of the exploration and of the seeds, words of the promise that they must find broken; of the
torture, of what it says.  |how|: with the signal of that name, or "late", when the program does not
end: only where it is said here.
"""

from collections import namedtuple

Sabotage = namedtuple("Sabotage", "name covers file old new program case how", defaults=["failed"])

EXPLORE = "explore/test_explore --short docs/states.dot"
ATTEMPT = "lib/core/core_attempt.c"
CORE = "lib/core/core.c"
LINK = "lib/core/core_link.c"
SETTLE = "lib/core/core_settle.c"
BACKOFF = "lib/core/backoff.c"
VERDICT = "lib/core/verdict.c"
DRIVER = "lib/client/driver.c"
STEPS = "lib/client/steps.c"
UPGRADE = "lib/wire/upgrade_request.c"
TORTURE = "torture/test_torture rows"
TICKET = "        put_encoded(w, wst__secret_expose(rq->ticket), rq->ticket->len);\n"

SABOTAGES = [Sabotage(*row) for row in [
    # ---- 1: one ticket, one upgrade
    ("a ticket that was spent is used again", ["promise 1", "a ticket reused"],
     STEPS, "if (cl->spent->hashes[i] == h)", "if (cl->spent->hashes[i] == h && h == 0)",
     "sim/test_sim_sequence", "ticket_handed_out_twice"),
    ("a reconnect goes without a ticket of its own", ["promise 1"],
     ATTEMPT, "return c->policy->ticket_step ? WST_STATE_TICKET",
     "return c->policy->ticket_step && c->attempt < 2 ? WST_STATE_TICKET",
     "sim/test_sim_sequence", "reconnect_with_a_new_ticket"),
    ("the next ticket is fetched before the wait", ["promise 1", "a ticket fetched before the wait"],
     SETTLE, "        delay = begin_wait(c, ev, told);\n",
     "    {\n        delay = begin_wait(c, ev, told);\n"
     "        wst__core_emit(c, WST__ACT_GET_TICKET, out);\n    }\n",
     EXPLORE, "is->token && !is->ticket && c->policy->ticket_step"),
    ("a ticket stays at hand when its attempt is over", ["promise 1"],
     ATTEMPT, "    drop_link(c, out);\n    drop_ticket(c, out);\n    wst__core_clear",
     "    drop_link(c, out);\n    wst__core_clear",
     EXPLORE, "b->is.conn == NO_CONN && b->is.request == NO_REQUEST && !b->is.ticket"),
    ("the ticket is not marked as moved", ["promise 1"],
     ATTEMPT, "WST__ACT_UPGRADE, out);\n    c->ticket_ready = false;",
     "WST__ACT_UPGRADE, out);",
     EXPLORE, "is->ticket"),
    ("every upgrade carries the first ticket", ["promise 1", "a ticket reused"],
     UPGRADE, TICKET,
     "        static char first[64];\n"
     "        if (!*first)\n"
     "            memcpy(first, wst__secret_expose(rq->ticket), rq->ticket->len);\n"
     "        put_encoded(w, first, strlen(first));\n",
     TORTURE, "an upgrade with a ticket that was "),
    ("an upgrade carries no ticket", ["promise 1"],
     UPGRADE, "    if (ticket_in(rq, WST_TICKET_IN_QUERY)) {",
     "    if (ticket_in(rq, WST_TICKET_IN_QUERY) && !name) {",
     TORTURE, "an upgrade without a ticket"),
    ("an upgrade carries half of its ticket", ["promise 1"],
     UPGRADE, TICKET, TICKET.replace("->len)", "->len / 2)"),
     TORTURE, "an upgrade with a ticket that was not given"),
    # ---- 2: never stale
    ("a ticket is used for all of its life", ["promise 2"],
     ATTEMPT, "return life_ms / 5 * 4 + life_ms % 5 * 4 / 5;", "return life_ms;",
     "sim/test_sim_sequence", "stale_twice"),
    ("a ticket does not age in sleep", ["promise 2"],
     ATTEMPT, "return wst__since(boot_ms, c->ticket_boot_ms)",
     "return wst__since(boot_ms < c->seen_now_ms ? boot_ms : c->seen_now_ms, c->ticket_boot_ms)",
     "core/test_core_attempt", "a_sleep_ages_the_ticket"),
    ("a ticket's age counts from its answer", ["promise 2"],
     ATTEMPT, "    c->ticket_life_ms = ev->ticket_life_ms;",
     "    c->ticket_life_ms = ev->ticket_life_ms;\n    c->ticket_boot_ms = ev->boot_ms;",
     "core/test_core_attempt", "an_older_ticket_is_replaced_in_the_same_attempt"),
    # ---- 3: one at a time
    ("late answers are accepted", ["promise 3", "a late answer accepted"],
     CORE, "return ev->attempt != c->attempt || c->state == WST_STATE_IDLE",
     "return c->state == WST_STATE_IDLE",
     "core/test_core_table", "late_answers_change_nothing_in_any_state"),
    ("a second connection is dialed beside the first", ["promise 3"],
     ATTEMPT, "    else if (c->dial == WST__DIAL_NONE)\n        dial(c, ev, out);",
     "    else\n        dial(c, ev, out);",
     EXPLORE, "is->attempt_runs && is->conn == NO_CONN"),
    # ---- 4: no wedge
    ("the wait has no timer", ["promise 4"],
     SETTLE, "    c->retry_due = wst__after(ev->now_ms, delay);\n", "",
     EXPLORE, "deadline != WST__NEVER"),
    ("a step has no deadline", ["promise 4", "promise 12"],
     ATTEMPT, "WST__ACT_ENSURE_TOKEN, out);\n"
     "    c->step_due = wst__after(ev->now_ms, c->policy->step_timeout_ms);",
     "WST__ACT_ENSURE_TOKEN, out);",
     "sim/test_sim_sequence", "token_times_out"),
    ("the whole attempt has no deadline", ["promise 4", "promise 12"],
     ATTEMPT, "    c->attempt_due = wst__after(ev->now_ms, c->policy->attempt_timeout_ms);\n", "",
     "sim/test_sim_sequence", "attempt_times_out"),
    ("the driver does not arm its timer", ["promise 4"],
     DRIVER, "    if (due != wst__timer_due_ms(&cl->timer))",
     "    if (due == wst__timer_due_ms(&cl->timer))",
     "sim/test_sim_failures", "ladder"),
    # ---- 5: paired events
    ("an end by stop is not told", ["promise 5"],
     ATTEMPT, "    wst__core_tell(c, WST__ACT_ATTEMPT_FAILED, WST_NO_DELAY, out);\n", "",
     EXPLORE, "!b->is.attempt_runs && b->is.conn == NO_CONN && b->is.lives > 0"),
    ("a start that was taken back has no end", ["promise 5"],
     LINK, "    if (started_again)\n        wst__core_tell_ended(c, out);\n",
     "    (void)started_again;\n",
     "sim/test_sim_calls", "stop_start_stop_during_closing"),
    # ---- 6: re-entrancy
    ("start calls back from inside", ["promise 6"],
     "lib/client/client.c", "    wst__offline_start(cl->offline);\n    wst__driver_ask(cl);",
     "    wst__offline_start(cl->offline);\n    wst__driver_pump(cl);",
     "sim/test_sim_calls", "everything_inside_every_callback"),
    # ---- 7: the loop never waits
    ("a dropped dial joins the thread that resolves", ["promise 7"],
     "lib/io/multi_curl.c", "CURLOPT_QUICK_EXIT, 1L", "CURLOPT_QUICK_EXIT, 0L",
     "io/test_io_dns", "test_cancel_while_resolving"),
    # ---- 8: secrets stay in
    ("a secret is freed without being wiped", ["promise 8"],
     "lib/base/secret.c", "        wst__wipe(s->wst__bytes, s->len);", "        (void)s->len;",
     "base/test_base_secret", "test_drop_wipes"),
    ("the ticket is logged", ["promise 8"],
     STEPS, "    cl->counts.tickets_fetched++;",
     "    cl->counts.tickets_fetched++;\n    wst__log(WST__LOG_OF(cl), WST_LOG_INFO, \"%s\", "
     "wst__secret_expose(&cl->asking->ticket));",
     "sim/test_sim_seeds", "a secret in the log"),
    ("the token is logged", ["promise 8"],
     STEPS, "    wst__token_use(cl->token); /* It may be newer than the one of step 1. */\n",
     "    wst__token_use(cl->token);\n    wst__log(WST__LOG_OF(cl), WST_LOG_DEBUG, \"%s\", "
     "wst__secret_expose(wst__token_value(cl->token)));\n",
     TORTURE, "a secret in "),
    # ---- 9: credentials go home only
    ("the system's CAs are trusted beside the private one", ["promise 9", "the trust store widened"],
     "lib/io/http_curl.c", "    failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);\n"
     "    failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);\n", "",
     "io/test_io_tls", "test_store_stays"),
    ("certificates are not verified", ["promise 9"],
     "lib/io/tls_openssl.c", "f->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER", "SSL_VERIFY_NONE",
     "io/test_io_tls", "test_verdicts"),
    ("a session is resumed whose certificate has ended", ["promise 9"],
     "lib/io/tls_openssl.c", "X509_cmp_current_time(X509_get0_notAfter(cert)) > 0", "cert != NULL",
     "io/test_io_tls", "test_expired_since"),
    ("a session is resumed whose key is not pinned", ["promise 9"],
     "lib/io/tls_openssl.c", "!cert || (trust->pin_count > 0 && !pin_matches(trust, cert))", "!cert",
     "io/test_io_tls", "test_pin_mended"),
    ("a redirect is followed", ["promise 9"],
     "lib/io/multi_curl.c", "CURLOPT_FOLLOWLOCATION, 0L", "CURLOPT_FOLLOWLOCATION, 1L",
     "io/test_io_http", "test_redirect"),
    ("plain http is taken for any host", ["promise 9"],
     "lib/client/config.c", "if (url->tls || url->loopback || cfg->c.allow_plaintext)",
     "if (url->host || cfg->c.allow_plaintext)",
     "client/test_client_config", "plaintext_only_at_home"),
    ("https_proxy is ignored", ["promise 9", "https_proxy ignored"],
     "lib/io/proxy.c", "for_secure[] = {\"https_proxy\", ", "for_secure[] = {",
     "io/test_io_proxy", "test_environment"),
    ("a stored token of another origin is used", ["promise 9"],
     "lib/client/token.c", "if (strcmp(r->origin, t->client->shared->config.token_origin) != 0)",
     "if (strcmp(r->origin, t->client->shared->config.token_origin) == 1000)",
     "sim/test_sim_calls", "stored_token_is_not_used"),
    # ---- 10: bounded
    ("the send queue has no ceiling", ["promise 10"],
     "lib/wire/outbox.c", "    return used > env->max_queue - n - over ? WST_ERR_QUEUE_FULL : 0;",
     "    return used > env->max_queue && n > env->max_queue ? WST_ERR_QUEUE_FULL : 0;",
     "sim/test_sim_link", "queue_full_and_drained"),
    ("the headers of an answer have no ceiling", ["promise 10"],
     "lib/io/http_curl.c", "if (h->header_bytes > h->max_header_bytes) {",
     "if (h->header_bytes > SIZE_MAX / 2) {",
     "io/test_io_http", "test_ceilings"),
    ("Retry-After has no ceiling", ["promise 10", "promise 13"],
     SETTLE, "    uint64_t retry_after = smaller(c->failure.retry_after_ms, p->max_server_delay_ms);",
     "    uint64_t retry_after = c->failure.retry_after_ms;",
     "core/test_core_settle", "what_a_server_asks_for_has_a_ceiling"),
    # ---- 11: a good guest
    ("a dead peer raises SIGPIPE", ["promise 11"],
     "lib/io/stream_openssl.c",
     "    n = send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);",
     "    n = send(s->fd, iov->iov_base, iov->iov_len, 0);",
     "io/test_io_stream", "test_dead_peer", "SIGPIPE"),
    ("a dead peer raises SIGPIPE when several pieces are sent", ["promise 11"],
     "lib/io/stream_openssl.c",
     "            n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);",
     "            n = sendmsg(s->fd, &msg, 0);",
     "io/test_io_stream", "test_dead_peer", "SIGPIPE"),
    ("sockets are inherited by other programs", ["promise 11"],
     "lib/io/multi_curl.c", "addr->socktype | SOCK_CLOEXEC", "addr->socktype",
     "io/test_io_stream", "test_close_on_exec"),
    # ---- 12: dead peers are found
    ("silence after a ping is not noticed", ["promise 12"],
     LINK, "    c->ping_left_ms = ev->now_ms;\n"
     "    c->dead_due = wst__after(ev->now_ms, c->policy->ping_timeout_ms);",
     "    c->ping_left_ms = ev->now_ms;\n    c->dead_due = WST__NEVER;",
     "sim/test_sim_link", "dead_peer"),
    ("a sleep is not noticed", ["promise 12"],
     CORE, "    return ms > SLEEP_MS ? ms : 0;", "    return ms > SLEEP_MS ? 0 : 0;",
     "sim/test_sim_link", "sleep_while_open"),
    ("a ping that could not leave counts as unanswered", ["promise 12"],
     LINK, "    return wst__after(p->ping_interval_ms, p->ping_timeout_ms);",
     "    return p->ping_timeout_ms;",
     "sim/test_sim_link", "blocked_ping"),
    # ---- 13: honest backoff
    ("the counter goes back when the link opens", ["promise 13", "the counter reset at open"],
     LINK, "    c->ever_open = true;", "    c->ever_open = true;\n    c->failures = 0;",
     "sim/test_sim_failures", "accept_and_close"),
    ("the cap clamps the jittered delay", ["promise 13", "the clamp after the jitter"],
     BACKOFF, "    delay = larger(delay, WST__MIN_DELAY_MS);",
     "    delay = smaller(larger(delay, WST__MIN_DELAY_MS), p->cap_ms);",
     "core/test_core_backoff", "the_jitter_comes_after_the_cap"),
    ("Retry-After is obeyed to the millisecond", ["promise 13"],
     BACKOFF, "delay = add(larger(delay, floor), wst__rng_upto(r, larger(floor, MIN_RETRY_JITTER_MS)));",
     "delay = larger(delay, floor);",
     "core/test_core_backoff", "retry_after_is_a_floor_with_jitter_on_top"),
    ("a wake cuts what the server asked for", ["promise 13"],
     SETTLE, "wst__after(larger(now_ms, c->retry_floor), jitter)", "wst__after(now_ms, jitter)",
     "sim/test_sim_link", "wake_under_a_floor"),
    # ---- 14: no silent loss
    ("what was not sent is not told", ["promise 14"],
     "lib/client/link.c", "wst__ws_free(link->ws, link->cbs->unsent, link->arg);",
     "wst__ws_free(link->ws, NULL, link->arg);",
     "sim/test_sim_link", "unsent_is_reported"),
    ("stop does not wait for the queue", ["promise 14"],
     DRIVER, "        wst__link_close(cl->link, cl->stop_code, cl->stop_reason ? cl->stop_reason : \"\");",
     "        drop_link(cl);",
     "sim/test_sim_link", "stop_sends_the_queue"),
    ("a stop while the server closes does not wait", ["promise 14"],
     LINK, "    if (!c->stopping) {", "    if (!c->stopping && c->close_due == 0) {",
     "sim/test_sim_link", "stop_when_the_server_closes"),
    ("what was not sent is not told under faults", ["promise 14"],
     "lib/client/link.c", "wst__ws_free(link->ws, link->cbs->unsent, link->arg);",
     "wst__ws_free(link->ws, NULL, link->arg);",
     "torture/test_torture calls", "unsent"),
    ("a message in chunks that has no end is not told under faults", ["promise 14"],
     "lib/wire/message.c", "if (ws->chunk_type && unsent) /*", "if (!ws->chunk_type && unsent) /*",
     TORTURE, "unsent"),
    ("what waited and was dropped is not counted", ["promise 14"],
     "lib/client/offline.c", "    cl->counts.unsent_messages++;\n", "",
     TORTURE, "messages accepted"),
    # ---- Stop
    ("stop leaves the dial behind", ["promise 3", "a dial left behind by stop"],
     ATTEMPT, "        wst__core_emit(c, WST__ACT_CANCEL_HTTP, out);\n    drop_link(c, out);",
     "        wst__core_emit(c, WST__ACT_CANCEL_HTTP, out);\n    forget_dial(c);",
     "core/test_core_attempt", "stop_while_the_token_is_fetched"),
    ("stop leaves the request behind", ["promise 3"],
     ATTEMPT, "        wst__core_emit(c, WST__ACT_CANCEL_HTTP, out);\n", "        (void)out;\n",
     "core/test_core_attempt", "stop_while_the_ticket_is_fetched"),
    # ---- The rows of the failure table
    ("a 5xx is taken for a refusal", ["row: transient"],
     VERDICT, "return status >= 400 && status <= 499 ?", "return status >= 400 && status <= 599 ?",
     "sim/test_sim_failures", "every_status"),
    ("503 is no request for patience", ["row: soft"],
     VERDICT, "    case 429:\n    case 503:\n", "    case 429:\n",
     "sim/test_sim_failures", "every_status"),
    ("a refusal whose body has no end is no answer", ["row: soft"],
     DRIVER, "        wst__steps_time_is_up(cl);", "        (void)cl;",
     "sim/test_sim_sequence", "token_refused_without_an_end"),
    ("a restart of the server is answered at once by all", ["row: soft"],
     SETTLE, "f->close_code == 1012 || f->close_code == 1013", "f->close_code == 1013",
     "sim/test_sim_failures", "service_restart"),
    ("a refused JWT is kept and shown again", ["row: 401 in step 2"],
     DRIVER, "        wst__token_forget_used(cl->token);", "        (void)cl->token;",
     "sim/test_sim_sequence", "ticket_401_new_token"),
    ("a newer JWT is dropped for an older one", ["row: 401 in step 2"],
     "lib/client/token.c", "    if (serial != t->serial || wst__secret_empty(&t->value))",
     "    if (serial == UINT64_MAX || wst__secret_empty(&t->value))",
     "client/test_client_token", "forget_compares"),
    ("two refused tickets leave the JWT alone", ["row: ticket"],
     SETTLE, "        c->ticket_refusals = 0; /* The next token has its own chance. */\n"
     "        return true;",
     "        c->ticket_refusals = 0; /* The next token has its own chance. */\n"
     "        return false;",
     "sim/test_sim_failures", "upgrade_refused_twice"),
    ("a stable link's end as not authorized is the ticket's fault", ["row: token"],
     VERDICT, "return stable ? WST_CLASS_TOKEN : WST_CLASS_TICKET;", "return WST_CLASS_TICKET;",
     "sim/test_sim_failures", "logged_out_by_the_server"),
    ("auth failures are retried on the ladder for ever", ["row: auth"],
     SETTLE, "return c->auth_failures >= AUTH_FAILURES ? WST_CLASS_AUTH : cls;", "return cls;",
     "core/test_core_attempt", "two_refused_tokens_are_an_auth_failure_and_two_of_those_give_up"),
    ("a client that has worked is killed by a wrong deploy", ["row: auth", "row: refused"],
     SETTLE, "    return !c->ever_open;", "    return true;",
     "sim/test_sim_failures", "not_found_after_open"),
    ("a 404 is retried before the first open", ["row: refused"],
     SETTLE, "    if (f->cls != WST_CLASS_AUTH && f->cls != WST_CLASS_REFUSED)",
     "    if (f->cls != WST_CLASS_AUTH)",
     "sim/test_sim_failures", "not_found_before_open"),
    ("a broken protocol is just a lost connection", ["row: protocol"],
     VERDICT, "        return WST_CLASS_PROTOCOL;\n    default:\n        return WST_CLASS_TRANSIENT;",
     "        return WST_CLASS_TRANSIENT;\n    default:\n        return WST_CLASS_TRANSIENT;",
     "sim/test_sim_failures", "every_close_code"),
    ("the application's verdict is not asked for", ["row: the application's verdict"],
     DRIVER, "    if (!c->on_verdict || cl->closing", "    if (c->on_verdict || cl->closing",
     "sim/test_sim_failures", "verdict_stop"),
]]
