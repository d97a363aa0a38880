#!/usr/bin/python3
"""
Every outside function that the library calls can be failed by the torture, or is listed here among
those that cannot fail (or whose failure nobody could notice).

Usage: complete.py NM ARCHIVE PROGRAM
"""

import subprocess
import sys

# Ends, getters, setters of fields, arithmetic, text.
CANNOT_FAIL = """
    BIO_clear_flags BIO_free BIO_get_data BIO_meth_free BIO_set_data BIO_set_flags BIO_set_init
    CRYPTO_free ERR_clear_error ERR_get_error ERR_peek_error ERR_peek_last_error ERR_reason_error_string
    EVP_DecodeBlock EVP_EncodeBlock EVP_PKEY_free EVP_sha256 OPENSSL_sk_pop_free
    OPENSSL_thread_stop OpenSSL_version SSL_CTX_free SSL_CTX_get0_param SSL_CTX_get_ex_data
    SSL_CTX_sess_set_new_cb SSL_CTX_set1_cert_store SSL_CTX_set_info_callback SSL_CTX_set_options
    SSL_CTX_set_verify SSL_SESSION_free SSL_SESSION_get0_peer SSL_SESSION_is_resumable SSL_free
    SSL_get0_alpn_selected SSL_get0_param SSL_get0_peername SSL_get0_peer_certificate SSL_get_SSL_CTX
    SSL_get_error SSL_get_ex_data SSL_get_session SSL_get_verify_result SSL_has_pending
    SSL_session_reused SSL_set_bio SSL_set_connect_state SSL_set_shutdown TLS_client_method
    X509_STORE_free X509_VERIFY_PARAM_set_hostflags X509_free X509_get0_notAfter
    X509_get_X509_PUBKEY X509_get_default_cert_file X509_verify_cert_error_string
    cJSON_Compare cJSON_Delete cJSON_IsArray cJSON_IsNull cJSON_IsNumber cJSON_IsObject
    cJSON_IsString
    curl_easy_cleanup curl_easy_strerror curl_free curl_getdate curl_multi_cleanup
    curl_multi_info_read curl_multi_remove_handle curl_share_cleanup curl_slist_free_all
    curl_url_cleanup curl_version_info
    deflateBound deflateEnd deflateReset inflateEnd inflateReset
    uv_async_send uv_close uv_hrtime uv_idle_init uv_idle_start uv_idle_stop uv_mutex_destroy
    uv_mutex_lock uv_mutex_unlock uv_now uv_once uv_poll_start uv_poll_stop uv_prepare_init
    uv_prepare_start uv_queue_work uv_ref uv_thread_equal uv_thread_self uv_timer_init
    uv_timer_start uv_timer_stop uv_unref
    wslay_frame_context_free
    __assert_fail __ctype_b_loc __errno_location __stack_chk_fail __xpg_strerror_r clock_gettime
    closedir freelocale getenv geteuid getpid inet_ntop inet_pton memchr memcmp memcpy memmove memset
    pthread_mutex_lock pthread_mutex_unlock pthread_rwlock_timedwrlock pthread_rwlock_tryrdlock
    pthread_rwlock_unlock snprintf strcasecmp strchr strcmp strcspn strerror strlen strncasecmp
    strncmp strpbrk strrchr strspn strstr strtoll strtoul time tzset uselocale vsnprintf
    _GLOBAL_OFFSET_TABLE_ __cpu_model __cpu_indicator_init
""".split()
# Called by another name than the one that is failed: atexit() calls __cxa_atexit().
OTHER_NAMES = {"atexit": "__cxa_atexit"}


def symbols(nm, path, kinds):
    output = subprocess.run([nm, "-f", "posix", path], check=True, capture_output=True,
                            text=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return {row[0] for row in rows if len(row) > 1 and row[1] in kinds}


def main():
    nm, archive, program = sys.argv[1:]
    called = symbols(nm, archive, "U") - symbols(nm, archive, "TtDdBbRrWw")
    failed = symbols(nm, program, "T")
    left = sorted(name for name in called
                  if OTHER_NAMES.get(name, name) not in failed and name not in CANNOT_FAIL)
    unused = sorted(name for name in CANNOT_FAIL if name in failed)
    print("1..2")
    print(f"{'not ' if left else ''}ok 1 - {len(called)} outside functions: each can be failed, "
          f"or cannot fail {' '.join(left)}")
    print(f"{'not ' if unused else ''}ok 2 - none is both {' '.join(unused)}")
    return 1 if left or unused or not called else 0


if __name__ == "__main__":
    sys.exit(main())
