/* Any bytes as a token: the life is unknown or within its bounds. */
#include "fuzz.h"
#include "wire/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t life_s = wst__jwt_life_s((const char *)data, size, 1700000000);

    MUST(life_s == -1 || (life_s > 0 && life_s <= INT64_C(3650) * 86400));
    return 0;
}
