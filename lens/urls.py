from django.urls import path

from lens import views

app_name = "lens"
urlpatterns = [
    path("lens/", views.home, name="home"),
    path("lens/<uuid:analysis_id>/", views.analysis, name="analysis"),
]
